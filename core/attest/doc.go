// Package attest checks evidence about a device's hardware. It is pure: bytes, a time and what is
// trusted come in, a verdict comes out, the same on every machine.
//
// Three kinds of evidence, all made over one Statement (chain, device, device key, owner, epoch,
// beacon of the epoch), so that none can be made ahead, kept for later, or lent to another device:
//
//   - TLS (tier 1): the key of a domain's certificate signs the statement. It proves that whoever
//     holds the domain's key vouched for this device; nothing about hardware.
//   - Manufacturer (tier 1): a listed maker signed the device key when it made it, and the device key
//     signs the statement now. It proves what the maker says of its keys, and that the key is alive.
//   - TPM 2.0 (tier 2): an attestation key (AK) inside a TPM certifies the device key by name
//     (TPM2_Certify) and quotes the machine's boot measurements (TPM2_Quote), both over the
//     statement. A name is a hash of a key and its attributes, so that "made in this TPM, never
//     leaves it" (fixedTPM, fixedParent, sensitiveDataOrigin) is the TPM's word, not the owner's.
//
// # What makes an AK an AK
//
// Everything hangs on the AK being a restricted signing key of a real TPM: one that refuses to sign
// a forged attestation. A manufacturer certifies an endorsement key (EK), and the usual EK decrypts
// and does not sign. Showing that an AK lives beside it takes a secret, encrypted to the EK and the
// AK's name, which only that TPM gives back (TPM2_ActivateCredential). A chain has no secrets: whatever
// it could encrypt, everyone could read. Two ways around it are sound:
//
//   - Certified signing key. The chain of certificates ends at a restricted signing key: an
//     attestation key that the maker certified in the factory (IAK), one that a privacy CA certified
//     after an activation, or an EK made to sign. Either it is the AK itself, or it certifies the
//     AK by name. Trusted: that whoever issued the certificate certifies such keys only, which is why
//     these roots are a list of their own. No one else.
//   - Activation. The chain of certificates ends at an EK that decrypts, and a number of listed
//     attesters each sign that they activated a credential with this EK for this AK's name. Trusted:
//     the manufacturer for the EK, and that not all of those attesters lie at once.
//
// # What nobody's TPM proves
//
// Where the machine stands; what it does after boot; that its boot measurements mean anything unless
// a vote has listed which are good; that the TPM was not opened with a laboratory's tools; that the
// disk, radio or meter beside it is real. One TPM vouches for one device at a time.
//
// # Why its own parsers
//
// A verdict is consensus. crypto/x509 changes what it accepts from release to release and by
// environment (GODEBUG), and the reflection of go-tpm was not made for bytes from strangers; two
// validators that differ there would fork. What is needed of X.509 and TPM structures is small, and
// bounded here to the byte. Tests hold both parsers against the libraries they stand in for.
package attest

package device

// gasSignature is charged, beside what the store charges, for verifying the device key's signature
// at registration: what the SDK charges for one secp256k1 signature, so that a signature costs the
// same in a message as around it.
const gasSignature = 1_000

// gasEvidenceSignature is charged for each signature of evidence, with its certificate or TPM
// structure, before it is looked at. The dearest is ECDSA on P-384; seven signatures with one of them
// take 1.1 ms (core/attest, BenchmarkEvidence), and 60M gas are to take a second.
const gasEvidenceSignature = 20_000

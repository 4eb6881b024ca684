package device

// gasSignature is charged for verifying the device key's signature at registration, beside what
// the store charges.
const gasSignature = 1_000

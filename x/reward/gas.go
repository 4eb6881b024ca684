package reward

// Gas beside what the store charges for each read and write.
const (
	// gasClaim is for the path of one claim: up to 41 hashes, as the SDK charges 1,000 for one
	// secp256k1 signature of about 100 microseconds.
	gasClaim = 500
)

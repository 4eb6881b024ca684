// Package ocmf reads, checks and judges signed meter records of charging stations in the Open Charge
// Metering Format (OCMF 1.4.1, SAFE e.V.), the same on chain, in the central system and on a driver's
// desk.
//
// A record is three sections, OCMF|payload|signature, and the signature is over the payload's bytes
// as they were sent. So the bytes are kept and never written anew: of the published records not one
// survives a round trip through a JSON library.
//
// The way from bytes to money has four steps, each of which may refuse with a Reason:
//
//	Unpack   finds the record in what an OCPP message carried (plain, hex, base64, JSON wrapper)
//	Parse    reads it without floats: registers become exact decimals
//	Verify   checks the signature against a Key that the caller got elsewhere, on any of seven curves
//	Settle   judges a session's records together: what was charged, and whether time may be billed
//
// A key that travels with a record proves nothing (anyone can sign with a key of their own): Unpack
// hands it over as Embedded, and nothing here uses it.
//
// INV-OCMF-1: what Parse understood is in the bytes that Verify checks; there is one reading of them,
// since repeated names, floats and broken text are refused (core/exactjson).
//
// INV-OCMF-2: Verify is total and a pure function of key, payload and signature; on every curve it
// agrees with the reference (OpenSSL) on every signature, valid or not.
//
// INV-OCMF-3: Settle's energy is the exact difference of two registers of one meter that the
// signature covers, never more.
package ocmf

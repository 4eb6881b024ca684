// Package v16 has the messages of OCPP 1.6 (edition 2): core, firmware, local list, reservation, smart charging and
// remote trigger profiles, and the security extensions of the whitepaper (edition 2). Fields and limits follow the
// Open Charge Alliance's JSON schemas; the tag ocpp says what package ocpp checks.
//
// Requests are named after their action, answers have Response behind. Optional scalars are pointers.
package v16

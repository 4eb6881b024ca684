// Package v201 has the messages of OCPP 2.0.1 (edition 2), by functional block. Fields and limits follow the Open Charge
// Alliance's JSON schemas; the tag ocpp says what package ocpp checks. customData is not kept.
//
// Requests and answers have Request and Response behind. Optional scalars are pointers.
package v201

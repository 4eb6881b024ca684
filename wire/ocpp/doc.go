// Package ocpp is OCPP-J: the frames in which charge points and their central system call each other over
// one WebSocket, and the session that keeps calls and answers together. The messages themselves are in v16 and
// v201; docs/spec/csms.md says what the central system does with them.
//
// # Frames
//
//	[2, id, action, payload]                     a call            OCPP-J 1.6 section 4.2.1
//	[3, id, payload]                             its answer                       4.2.2
//	[4, id, code, description, details]          its refusal                      4.2.3
//
// One call of each side is under way at a time (OCPP-J 1.6 section 4.1.1); calls of a peer are handled one after the
// other, in the order in which they came, so a slow handler is back-pressure on the peer's socket and nothing
// is queued. A handler therefore never waits for a call of its own on the same connection.
//
// # Strict and tolerant
//
// Charge points in the field deviate from the schemas in ways that do no harm: numbers as texts, texts as
// numbers, absent optional parts spelled null, times without a zone, texts longer than allowed, values not in a
// list. Refusing those costs a driver a charge, so Decode mends and reports them. What moves money or names who pays
// (fields tagged strict) is not mended by guessing: absent, twice, or too long, it is refused with the field's name.
//
// Everything a peer sends is bounded: the frame's size, its nesting, the length of its id.
package ocpp

// Package csms is the central system that charge points connect to, unmodified, by OCPP 1.6J or 2.0.1 on one
// listener. It authorises, follows every session from its first message to its settlement on a ledger, and loses
// none of it in a crash. docs/spec/csms.md tells what it promises.
//
// # Parts
//
//	Station, Session, Order     what is kept (record.go); Store keeps it (store.go)
//	station                     one charge point at run time: its connection and open sessions
//	v16, v201                   a message of either edition becomes a start, a sample, a phase or a stop (event.go)
//	meter, bill                 what happened, as a tariff sees it, and what is owed (meter.go, bill.go)
//	orders                      sessions opened on the ledger, started remotely or refunded
//	outbox                      what the ledger must be told, until it has answered
//	sweep                       limits, silent stations, ends that wait for evidence
//	commands, groups            calls to stations: remote start and stop, profiles, reservations, firmware
//	OCPI, admin                 read-out for roaming partners; the owner's own API, on loopback
//
// # Order of things
//
// A station's messages are handled one at a time, under station.mu. A handler changes the session in memory, writes one
// batch, waits until it is on stable storage, and then answers. Batches of different stations share a sync.
// If the disk refuses, the daemon ends: memory must not run ahead of it.
//
// INV-CSMS-1: a message is answered after everything it changed is durable.
//
// INV-CSMS-2: the same start, by (station, connector, time, register, tag), has one session and one transaction id, however
// often it comes and whatever crashed between; a transaction id is never given twice.
//
// INV-CSMS-3: a session is settled at most once, for at most its escrow; what the ledger is told is fixed when it enters the
// outbox, and telling it again changes nothing (Ledger).
//
// INV-CSMS-4: a message that repeats, comes late, out of order or with a wrong clock never raises a driver's cost.
package csms

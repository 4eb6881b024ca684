// Package chargepoint plays charge points, the cars at them and their meters, from the far end of the real protocol: OCPP 1.6J or
// 2.0.1 over WebSocket. A Station keeps its transaction messages in a queue over lost connections, as real ones must
// (OCPP 1.6 section 3.7), and can be told to be as faulty as real ones are. Many fit in a process.
//
//	Station   the connection, the queue, what the central system may ask (station.go, v16.go, v201.go)
//	Car       a battery and its charging curve (car.go)
//	Meter     cumulative register that signs OCMF records (meter.go)
package chargepoint

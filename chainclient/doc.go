// Package chainclient is a daemon's view of the chain: query, sign, broadcast, follow.
//
// A Client speaks gRPC to one node that its owner trusts. It survives that node's restarts:
// calls that cannot reach it are tried again with growing pauses for as long as Config.Patience
// says. It links the wire format of the chain and neither its consensus engine nor its state
// machine (deps_test.go holds this).
//
// # Sending
//
// Send packs messages into one transaction of the client's account and returns when it is in a
// block. Any number of goroutines may send at once: transactions are signed and handed to the
// node one at a time, in order of sequence (sequencer), and waited for side by side.
//
//   - Every transaction is simulated first, at the state its predecessors in the mempool will
//     leave. Whatever a message does wrong shows there, costs nothing and uses up no sequence.
//   - Every transaction names a last height. Past it the transaction can never be included, so
//     ErrNotIncluded is a fact and not a guess: sending again cannot pay twice.
//     (INV-SEND-ONCE: at most one inclusion a call of Send.)
//   - A transaction that the node forgot, because it restarted or evicted it, is handed over
//     again, the same bytes, until it is included or its last height has passed.
//   - After anything unexpected about sequences the client lets its own transactions in flight
//     end, reads the sequence from the chain and goes on from there.
//
// # Errors
//
// What the chain refuses is an *Error with codespace, code and log. Codes are API: each has a
// sentinel of type Code in errors.go, for errors.Is.
package chainclient

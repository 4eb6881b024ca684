// Package simulation plays random histories on the whole application, block by block and without
// consensus: people of every role do what the network lets them do, honestly or not, in signed
// transactions; validators miss votes and epochs turn with beacons; laws are voted and change the rules
// under everybody's feet.
//
// After every block each named invariant of every module and of the bank holds (app.Invariants). In the
// middle the state is exported and the history goes on from the import, which must have the same state.
// In the end every block runs again on a fresh application, closed and opened at times, and gives the
// same hash. A seed gives one history: a failure names it, and SIMULATION_SEED plays it again.
//
// What a history knows beyond the state is what people know off the chain: keys, pieces, and the trees
// behind what they committed to or reported. All else it reads from the state before each block, so that
// most of what people try can succeed; an operation that never does fails the long run, for it tests
// nothing.
package simulation

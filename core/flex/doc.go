// Package flex pays for keeping the grid even: batteries that smooth a feeder's load, devices that are
// ready to act when called, and those that respond to an event.
//
// # Smoothing
//
// N1(t) is a feeder's metered net load in each of T samples, b_i(t) what flexible device i injected, and
// so N0 = N1 + sum of b_i the load that there would have been without them. The unevenness of a load
//
//	V(N) = sum over t of (T*N(t) - sum of N)^2
//
// is T^3 times its variance, in integers. As the centred b_i make the whole difference of N0 and N1,
//
//	V(N0) - V(N1) = sum over i, t of (T*b_i(t) - sum of b_i) * (d0(t) + d1(t)),  d = T*N - sum of N
//
// so that each device has a part of the improvement that depends on nobody's order, and all parts sum
// to it exactly. A device that made it worse has a negative part.
//
//   - INV-FLEX-1 (additive): the parts of all devices sum to V(N0) - V(N1).
//   - INV-FLEX-2 (pool): a pool pays out no more than it has; nobody gets or owes more than their cap.
//   - INV-FLEX-3 (draw): who is called, when and which way follows from beacon, slot and device alone.
//
// Parts are additive, so the parts of all devices of one owner are summed before a pool is shared: who
// unsettles the grid with one battery to be paid for settling it with another gets nothing for it.
package flex

import "errors"

// Errors about data from which nothing can be computed. Each message names the value.
var (
	ErrSamples = errors.New("invalid samples")
	ErrDays    = errors.New("invalid days")
	ErrTerms   = errors.New("invalid terms")
)

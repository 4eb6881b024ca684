package ocmf

import "strings"

// registerRank orders the registers that a session may be billed by, the best first: what left the
// cable before what entered it, a session's own counter before the meter's total. 0 is none of them.
//
// Codes are OBIS (IEC 62056-6-1) A-B:C.D.E with C in hex, of OCMF 1.4's table 25 (B0 to B3) and as
// meters wrote them before it: 1.8.0 total import, 98.8.0 import of the transaction, 9C.8.0 import at
// the device. Whatever group B, E and F are, D must be 8, the integral of energy since the beginning.
func registerRank(code string) int {
	if _, rest, ok := strings.Cut(code, ":"); ok {
		code = rest
	}
	c, rest, ok := strings.Cut(code, ".")
	if !ok {
		return 0
	}
	d, _, ok := strings.Cut(rest, ".")
	if !ok || strings.TrimLeft(d, "0") != "8" {
		return 0
	}
	switch strings.ToUpper(strings.TrimLeft(c, "0")) {
	case "B3": // transaction, at the device
		return 7
	case "B1": // total, at the device
		return 6
	case "9C":
		return 5
	case "98":
		return 4
	case "B2": // transaction, at the mains
		return 3
	case "B0": // total, at the mains
		return 2
	case "1":
		return 1
	default:
		return 0
	}
}

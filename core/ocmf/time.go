package ocmf

import "fmt"

// Sync says how far a time can be trusted (OCMF table 19).
type Sync byte

// The states of clocks.
const (
	Unsynchronized Sync = 'U'
	Informative    Sync = 'I'
	Synchronized   Sync = 'S'
	Relative       Sync = 'R'
)

// Billable tells whether durations by this clock may be billed.
func (s Sync) Billable() bool { return s == Synchronized || s == Relative }

// Time is a meter's time: an instant, the zone it was written in, and how far to trust it.
type Time struct {
	// UnixMilli is the instant in milliseconds since 1970-01-01T00:00Z.
	UnixMilli int64
	// ZoneMinutes is the local time's lead over UTC.
	ZoneMinutes int16
	Sync        Sync
}

// parseTime reads "2018-07-24T13:22:04,000+0200 S" (OCMF table 7, TM). A point may stand for the
// comma. A date must be one of the calendar's; the year is 1970 to 9999.
func parseTime(s string) (Time, error) {
	bad := func() (Time, error) {
		return Time{}, refuse(TimeInvalid, "TM is %.40q, want 2018-07-24T13:22:04,000+0200 S", s)
	}
	const layout = "0000-00-00T00:00:00,000+0000 S"
	if len(s) != len(layout) {
		return bad()
	}
	var n [8]int64 // year, month, day, hours, minutes, seconds, milliseconds, zone
	field := 0
	for i := 0; i < len(layout)-2; i++ {
		c := s[i]
		if layout[i] == '0' {
			if c < '0' || c > '9' {
				return bad()
			}
			n[field] = 10*n[field] + int64(c-'0')
			continue
		}
		if c != layout[i] && (layout[i] != ',' || c != '.') && (layout[i] != '+' || c != '-') {
			return bad()
		}
		field++
	}
	year, month, day := n[0], n[1], n[2]
	zone := n[7]/100*60 + n[7]%100
	if year < 1970 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		n[3] > 23 || n[4] > 59 || n[5] > 60 || n[7]%100 > 59 || zone > 18*60 || s[len(s)-2] != ' ' {
		return bad()
	}
	if s[len("0000-00-00T00:00:00,000")] == '-' {
		zone = -zone
	}
	t := Time{ZoneMinutes: int16(zone), Sync: Sync(s[len(s)-1])} //nolint:gosec // at most 18 hours
	switch t.Sync {
	case Unsynchronized, Informative, Synchronized, Relative:
	default:
		return bad()
	}
	minutes := (daysSince1970(year, month, day)*24+n[3])*60 + n[4] - zone
	t.UnixMilli = (minutes*60+n[5])*1000 + n[6]
	return t, nil
}

// String returns t as a record writes it.
func (t Time) String() string {
	local := t.UnixMilli + int64(t.ZoneMinutes)*60_000
	days, rest := floorDiv(local, 86_400_000)
	year, month, day := date(days)
	sign, zone := '+', t.ZoneMinutes
	if zone < 0 {
		sign, zone = '-', -zone
	}
	return fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d,%03d%c%02d%02d %c", year, month, day,
		rest/3_600_000, rest/60_000%60, rest/1000%60, rest%1000, sign, zone/60, zone%60, t.Sync)
}

func leap(year int64) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(year, month int64) int64 {
	switch month {
	case 2:
		if leap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

// daysSince1970 counts the days from 1970-01-01 to a date of the Gregorian calendar: years begin in
// March, so that the leap day is their last.
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719_468
}

// date is the inverse of daysSince1970.
func date(days int64) (year, month, day int64) {
	era, dayOfEra := floorDiv(days+719_468, 146_097)
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36_524 - dayOfEra/146_096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	month = (5*dayOfYear + 2) / 153
	day = dayOfYear - (153*month+2)/5 + 1
	year = yearOfEra + 400*era
	if month += 3; month > 12 {
		month, year = month-12, year+1
	}
	return year, month, day
}

func floorDiv(a, b int64) (quotient, remainder int64) {
	quotient, remainder = a/b, a%b
	if remainder < 0 {
		quotient, remainder = quotient-1, remainder+b
	}
	return quotient, remainder
}

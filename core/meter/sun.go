package meter

import (
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
)

// Site is roughly where a meter stands, in hundredths of a degree, north and east positive. A tenth of
// a degree, about ten kilometres, is enough for the sun and says little of who lives there.
type Site struct{ Latitude, Longitude int32 }

func (s Site) check() error {
	if s.Latitude < -9000 || s.Latitude > 9000 {
		return fmt.Errorf("%w: latitude %d, want hundredths of a degree, -9000..9000", ErrFrame, s.Latitude)
	}
	if s.Longitude < -18000 || s.Longitude > 18000 {
		return fmt.Errorf("%w: longitude %d, want hundredths of a degree, -18000..18000", ErrFrame, s.Longitude)
	}
	return nil
}

const (
	// unit is one in the fixed point of sines.
	unit = 1 << 30
	// twilight is the sine of the elevation, -6 degrees, below which no solar cell makes power (the
	// end of civil twilight); it stands five degrees off the horizon for refraction, hills that look
	// down, the registered place's rounding, and the errors of the series below, which are under one.
	twilight = -112236583
	turn     = 36_000_000 // a full circle in hundred-thousandths of a degree
	degree   = turn / 360
)

// sines of 0 to 90 degrees in steps of one, in units of 2^-30 (rounded; made with Python's math.sin).
var sines = [91]int64{
	0, 18739379, 37473049, 56195305, 74900443, 93582766, 112236583,
	130856211, 149435979, 167970228, 186453311, 204879599, 223243478, 241539355,
	259761657, 277904834, 295963357, 313931728, 331804471, 349576144, 367241333,
	384794656, 402230767, 419544355, 436730145, 453782903, 470697435, 487468587,
	504091252, 520560366, 536870912, 553017922, 568996477, 584801711, 600428808,
	615873009, 631129609, 646193961, 661061475, 675727625, 690187940, 704438018,
	718473518, 732290163, 745883746, 759250125, 772385229, 785285058, 797945680,
	810363241, 822533958, 834454122, 846120104, 857528349, 868675383, 879557810,
	890172315, 900515665, 910584710, 920376381, 929887697, 939115760, 948057759,
	956710970, 965072759, 973140576, 980911966, 988384560, 995556083, 1002424350,
	1008987269, 1015242840, 1021189159, 1026824413, 1032146887, 1037154959, 1041847103,
	1046221891, 1050277989, 1054014162, 1057429273, 1060522280, 1063292242, 1065738315,
	1067859754, 1069655912, 1071126243, 1072270298, 1073087729, 1073578288, 1073741824,
}

// sine of an angle in hundred-thousandths of a degree, in units of 2^-30; linear between whole
// degrees, which is within 4e-5.
func sine(a int64) int64 {
	if a %= turn; a < 0 {
		a += turn
	}
	sign := int64(1)
	if a >= turn/2 {
		a, sign = a-turn/2, -1
	}
	if a > turn/4 {
		a = turn/2 - a
	}
	i, part := a/degree, a%degree
	if i == 90 {
		return sign * unit
	}
	return sign * (sines[i] + (sines[i+1]-sines[i])*part/degree)
}

func cosine(a int64) int64 { return sine(a + turn/4) }

// Elevation is the sine of the sun's elevation over a site at a time (Unix seconds, 1970 on), in
// units of 2^-30, within a degree. It follows the low precision series for the sun's coordinates
// (The Astronomical Almanac, section C: mean longitude and anomaly, two terms of the centre).
func (s Site) Elevation(unix int64) int64 {
	// Days since 2000-01-01 12:00, in seconds.
	t := unix - 946_728_000
	// Degrees a day, in hundred-thousandths of a degree a day: 0.98564736 and 0.98560028.
	longitude := 28_046_061 + mulDiv(t, 98_564_736, 1000*86_400)
	anomaly := 35_752_772 + mulDiv(t, 98_560_028, 1000*86_400)
	ecliptic := longitude + 191_500*sine(anomaly)/unit + 2_000*sine(2*anomaly)/unit
	const obliquity = 2_343_900
	// The sun as a vector in the equator's system; sin(declination) and cos(declination) times the
	// cosine and sine of the right ascension.
	x := cosine(ecliptic)
	y := cosine(obliquity) * sine(ecliptic) / unit
	z := sine(obliquity) * sine(ecliptic) / unit
	// Sidereal time at the site: 280.46061837 degrees and 360.98564737 a day.
	sidereal := 28_046_061 + mulDiv(t, 36_098_564_737, 1000*86_400) + int64(s.Longitude)*1000
	latitude := int64(s.Latitude) * 1000
	along := (cosine(sidereal)*x + sine(sidereal)*y) / unit
	return sine(latitude)*z/unit + cosine(latitude)*along/unit
}

// mulDiv is t*n/d without overflow, for |t| below 2^40 and n below 2^36.
func mulDiv(t, n, d int64) int64 { return t/d*n + t%d*n/d }

// Night says whether the sun stays below civil twilight for a whole slot.
func (s Site) Night(slot grid.Slot) bool {
	for at := int64(0); at <= grid.SlotSeconds; at += grid.SlotSeconds / 3 {
		if s.Elevation(slot.Start()+at) > twilight {
			return false
		}
	}
	return true
}

package chargepoint

import (
	"time"

	"github.com/cairn-network/cairn/core/grid"
)

// Car is a battery that takes full power up to 80 % and tapers to a tenth of it at the end.
type Car struct {
	Capacity grid.WattHours
	Charge   grid.WattHours
	Power    grid.Watts // at most
	rest     int64      // W*s not yet a Wh
}

// Draw is the power that the car takes now, if it may have most.
func (c *Car) Draw(most grid.Watts) grid.Watts {
	if c.Charge >= c.Capacity {
		return 0
	}
	power := c.Power
	if knee := c.Capacity / 5 * 4; c.Charge > knee && c.Capacity > knee {
		left, span := int64(c.Capacity-c.Charge), int64(c.Capacity-knee)
		power = max(power/10, grid.Watts(int64(power)*left/span))
	}
	return min(power, most)
}

// Take charges for so long and returns the energy.
func (c *Car) Take(most grid.Watts, d time.Duration) grid.WattHours {
	const step = 30 * time.Second // the taper is followed in steps
	total := grid.WattHours(0)
	for d > 0 {
		s := min(step, d)
		d -= s
		c.rest += int64(c.Draw(most)) * int64(s/time.Second)
		e := min(grid.WattHours(c.rest/3600), c.Capacity-c.Charge)
		c.rest -= int64(e) * 3600
		c.Charge += e
		total += e
	}
	return total
}

// Full tells whether it takes no more.
func (c *Car) Full() bool { return c.Charge >= c.Capacity }

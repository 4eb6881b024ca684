package csms

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v16"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

// Group is a set of stations behind one fuse: together they draw at most Limit.
type Group struct {
	Name  string     `json:"name"`
	Limit grid.Watts `json:"limit"`
}

// maxGroups bounds them.
const maxGroups = 1024

// groups divides the power of each group over the cars that charge, whenever one comes or goes.
type groups struct {
	s  *Service
	mu sync.Mutex
	// limits by name.
	limits map[string]grid.Watts
	// working has the groups that are being divided; true asks for another round.
	working map[string]bool
	// sent is what each session was last given.
	sent map[SessionNo]grid.Watts
}

func newGroups(s *Service) *groups {
	return &groups{s: s, limits: make(map[string]grid.Watts), working: make(map[string]bool), sent: make(map[SessionNo]grid.Watts)}
}

func (g *groups) load() error {
	return g.s.store.scan(key('f'), nil, func(_, value []byte) (bool, error) {
		var record Group
		if err := unmarshal(value, &record); err != nil {
			return false, err
		}
		g.limits[record.Name] = record.Limit
		return true, nil
	})
}

// SetGroup makes or changes a group; a limit of 0 removes it.
func (s *Service) SetGroup(record Group) error {
	if record.Name == "" || len(record.Name) > maxName || record.Limit < 0 || record.Limit > 1000*maxPower {
		return fmt.Errorf("group %q with %d W: it needs a name of at most %d bytes and a limit of 0 to %d", record.Name, record.Limit, maxName, 1000*maxPower)
	}
	g := s.groups
	g.mu.Lock()
	if _, known := g.limits[record.Name]; !known && len(g.limits) >= maxGroups {
		g.mu.Unlock()
		return fmt.Errorf("group %s: there are %d already", record.Name, maxGroups)
	}
	c := s.store.change()
	if record.Limit == 0 {
		delete(g.limits, record.Name)
		c.drop(key('f', record.Name))
	} else {
		g.limits[record.Name] = record.Limit
		c.put(key('f', record.Name), record)
	}
	g.mu.Unlock()
	if err := s.commit(c); err != nil {
		return err
	}
	s.groups.changed(record.Name)
	return nil
}

// changed says that a car came to a group or left it.
func (g *groups) changed(name string) {
	if name == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.limits[name]; !known {
		return
	}
	if _, under := g.working[name]; under {
		g.working[name] = true
		return
	}
	g.working[name] = false
	if !g.s.calls.do(func(ctx context.Context) { g.work(ctx, name) }) {
		delete(g.working, name)
	}
}

// load of one car.
type share struct {
	st        *station
	no        SessionNo
	version   ocpp.Version
	tx        string
	connector int
	most      grid.Watts // of the connector
	gets      grid.Watts
}

func (g *groups) work(ctx context.Context, name string) {
	for {
		g.mu.Lock()
		limit := g.limits[name]
		g.working[name] = false
		g.mu.Unlock()
		g.divide(ctx, name, limit)
		g.mu.Lock()
		if !g.working[name] || ctx.Err() != nil {
			delete(g.working, name)
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
	}
}

// divide tells every car of a group its share. Shares that shrink are told first, so that the sum of what was told never
// exceeds the limit once stations obey.
func (g *groups) divide(ctx context.Context, name string, limit grid.Watts) {
	var all []share
	g.s.eachStation(func(st *station) {
		st.mu.Lock()
		defer st.mu.Unlock()
		if st.Group != name {
			return
		}
		for _, x := range st.open {
			if c, ok := st.connector(x.Connector); ok && x.State.Open() {
				all = append(all, share{st, x.No, x.Version, x.StationTx, x.Connector, c.Power, 0})
			}
		}
	})
	if limit > 0 {
		fill(all, limit)
	}
	g.mu.Lock()
	alive := make(map[SessionNo]bool, len(all))
	for _, p := range all {
		alive[p.no] = true
	}
	before := make(map[SessionNo]grid.Watts, len(all))
	for no, w := range g.sent {
		if alive[no] {
			before[no] = w
		}
	}
	g.mu.Unlock()
	change := func(p share) grid.Watts {
		if was, told := before[p.no]; told {
			return p.gets - was
		}
		return p.gets - p.most
	}
	slices.SortFunc(all, func(a, b share) int { return cmp.Or(cmp.Compare(change(a), change(b)), cmp.Compare(a.no, b.no)) })
	for _, p := range all {
		if was, told := before[p.no]; told && was == p.gets {
			continue
		}
		if err := g.s.setLimit(ctx, p.st, p); err != nil {
			g.s.Log.Info("setting a charging profile", "station", p.st.ID, "session", p.no, "limit", p.gets, "error", err)
			continue
		}
		g.mu.Lock()
		g.sent[p.no] = p.gets
		g.mu.Unlock()
	}
	g.forget()
}

// forget drops what was sent to sessions that are over.
func (g *groups) forget() {
	open := make(map[SessionNo]bool)
	g.s.eachStation(func(st *station) {
		st.mu.Lock()
		defer st.mu.Unlock()
		for no := range st.open {
			open[no] = true
		}
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	for no := range g.sent {
		if !open[no] {
			delete(g.sent, no)
		}
	}
}

// fill divides a limit so that nobody gets more than its connector delivers, and who gets less than another gets all it
// can use (max-min fairness). The shares sum to at most the limit.
func fill(all []share, limit grid.Watts) {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(all[a].most, all[b].most), cmp.Compare(all[a].no, all[b].no))
	})
	left := limit
	for i, at := range order {
		all[at].gets = min(all[at].most, left/grid.Watts(len(order)-i))
		left -= all[at].gets
	}
}

// profileID of the profiles that groups set, away from those that an owner may set by hand.
const profileID = 9001

func (s *Service) setLimit(ctx context.Context, st *station, p share) error {
	c, err := st.online()
	if err != nil {
		return err
	}
	limit := ocpp.DecimalOf(int64(p.gets), 0)
	if c.Version == ocpp.V201 {
		q := &v201.SetChargingProfileRequest{EVSEID: p.connector, ChargingProfile: v201.ChargingProfile{
			ID: profileID, StackLevel: 0, ChargingProfilePurpose: v201.ChargingProfilePurposeTxProfile,
			ChargingProfileKind: v201.ChargingProfileKindRelative, TransactionID: p.tx,
			ChargingSchedule: []v201.ChargingSchedule{{
				ID: 1, ChargingRateUnit: v201.ChargingRateUnitW,
				ChargingSchedulePeriod: []v201.ChargingSchedulePeriod{{StartPeriod: 0, Limit: limit}},
			}},
		}}
		answer, err := ocpp.Call(ctx, c, q)
		if err != nil {
			return err
		}
		return wanted(q.Action(), string(answer.Status))
	}
	no := int(p.no)
	q := &v16.SetChargingProfile{ConnectorID: p.connector, CsChargingProfiles: v16.ChargingProfile{
		ChargingProfileID: profileID, TransactionID: &no, ChargingProfilePurpose: v16.ChargingProfilePurposeTxProfile,
		ChargingProfileKind: v16.ChargingProfileKindRelative,
		ChargingSchedule: v16.ChargingSchedule{
			ChargingRateUnit:       v16.ChargingRateUnitW,
			ChargingSchedulePeriod: []v16.ChargingSchedulePeriod{{StartPeriod: 0, Limit: limit}},
		},
	}}
	answer, err := ocpp.Call(ctx, c, q)
	if err != nil {
		return err
	}
	return wanted(q.Action(), string(answer.Status))
}

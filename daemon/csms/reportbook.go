package csms

import (
	"fmt"
	"sync"

	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

// Bounds of the reports kept in memory.
const (
	maxReports     = 256   // stations
	maxReportLines = 8_192 // of one report
)

// Report is what a station of 2.0.1 told of its device model (GetBaseReport, GetReport), as far as it came.
type Report struct {
	Request  int               `json:"request"`
	Complete bool              `json:"complete"`
	Lines    map[string]string `json:"lines"` // component.variable to value
}

// reportBook has the last report of each station that sent one.
type reportBook struct {
	mu   sync.Mutex
	last map[string]*Report
}

func (b *reportBook) add(station string, q *v201.NotifyReportRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.last[station]
	if r == nil || r.Request != q.RequestID {
		if len(b.last) >= maxReports || b.last == nil {
			b.last = make(map[string]*Report)
		}
		r = &Report{Request: q.RequestID, Lines: make(map[string]string)}
		b.last[station] = r
	}
	for _, d := range q.ReportData {
		name := clipped(d.Component.Name) + "." + clipped(d.Variable.Name)
		if len(d.VariableAttribute) > 0 && len(r.Lines) < maxReportLines {
			r.Lines[name] = clipped(d.VariableAttribute[0].Value)
		}
	}
	r.Complete = q.Tbc == nil || !*q.Tbc
}

func (b *reportBook) get(station string) (Report, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.last[station]
	if r == nil {
		return Report{}, fmt.Errorf("station %q sent no report since this central system started; ask with GetBaseReport", station)
	}
	out := *r
	out.Lines = make(map[string]string, len(r.Lines))
	for k, v := range r.Lines {
		out.Lines[k] = v
	}
	return out, nil
}

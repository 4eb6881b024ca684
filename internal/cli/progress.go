package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/internal/config"
)

const (
	redrawEvery = 100 * time.Millisecond
	barWidth    = 24
	labelWidth  = 28
)

// Progress is a bar that shows how far a transfer is. It is safe for concurrent use, and does
// nothing where no person watches.
type Progress struct {
	terminal *Terminal
	clock    clock.Clock
	label    string
	total    int64 // bytes; negative when unknown

	mu      sync.Mutex
	done    int64
	resumed int64 // of done, what was there before: not counted into the speed
	started time.Time
	drawn   time.Time
}

// Progress starts a bar for total bytes, negative when unknown.
func (t *Terminal) Progress(label string, total int64) *Progress {
	p := &Progress{terminal: t, clock: clock.System{}, label: label, total: total}
	p.started = p.clock.Now()
	return p
}

// Resume counts bytes that an earlier run has already moved.
func (p *Progress) Resume(n int64) {
	p.mu.Lock()
	p.resumed += n
	p.mu.Unlock()
	p.Add(n)
}

// Add counts n more bytes; negative where they turn out to be needed again.
func (p *Progress) Add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if now := p.clock.Now(); now.Sub(p.drawn) >= redrawEvery {
		p.draw(now)
	}
}

// Done draws the bar a last time and ends its line.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.visible() {
		p.draw(p.clock.Now())
		fmt.Fprintln(p.terminal.Err)
	}
}

// Reader counts what is read through it.
func (p *Progress) Reader(r io.Reader) io.Reader { return progressReader{r, p} }

type progressReader struct {
	io.Reader
	progress *Progress
}

func (r progressReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.progress.Add(int64(n))
	return n, err
}

func (p *Progress) visible() bool { return p.terminal.Interactive && !p.terminal.JSON }

// draw writes the line over the last one. The lock is held.
func (p *Progress) draw(now time.Time) {
	p.drawn = now
	if p.visible() {
		fmt.Fprintf(p.terminal.Err, "\r%s\x1b[K", p.line(now))
	}
}

func (p *Progress) line(now time.Time) string {
	label := p.label
	if runes := []rune(label); len(runes) > labelWidth {
		label = "…" + string(runes[len(runes)-labelWidth+1:])
	}
	speed := "-"
	if elapsed := now.Sub(p.started).Seconds(); elapsed > 0 {
		speed = config.Bytes(float64(max(p.done-p.resumed, 0))/elapsed).String() + "/s"
	}
	if p.total < 0 {
		return fmt.Sprintf("%-*s %s  %s", labelWidth, label, config.Bytes(p.done), speed)
	}
	part := 1.0
	if p.total > 0 {
		part = min(max(float64(p.done)/float64(p.total), 0), 1)
	}
	filled := int(part * barWidth)
	bar := strings.Repeat("█", filled) + strings.Repeat("░", barWidth-filled)
	return fmt.Sprintf("%-*s %s %3.0f%%  %s / %s  %s", labelWidth, label, bar, 100*part, config.Bytes(max(p.done, 0)), config.Bytes(p.total), speed)
}

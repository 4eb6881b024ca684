package command

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cairn-network/cairn/core/auction"
	"github.com/cairn-network/cairn/core/exactjson"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/internal/cli"
)

// order is one line of a book.
type order struct {
	id       string
	node     string
	price    exactjson.Decimal
	quantity grid.WattHours
	side     auction.Side
}

// book is a file of orders.
type book struct {
	orders []order
}

// columns of a book. All but node must be there, in any order; others are left alone.
var bookColumns = []string{"id", "side", "quantity_wh", "price", "node"}

// lineError says where in a book something is wrong: line and column, as editors count them.
type lineError struct {
	name         string
	line, column int
	what         error
}

func (e lineError) Error() string {
	return fmt.Sprintf("%s, line %d, column %d: %s", e.name, e.line, e.column, e.what)
}
func (e lineError) Unwrap() error { return e.what }

// readBook reads CSV, a line at a time.
func readBook(name string, r io.Reader) (book, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	if mark, err := buffered.Peek(3); err == nil && bytes.Equal(mark, []byte("\ufeff")) {
		_, _ = buffered.Discard(3) // peeked at, so it is there
	}
	lines := csv.NewReader(buffered)
	lines.ReuseRecord = true
	lines.TrimLeadingSpace = true
	header, err := lines.Read()
	if errors.Is(err, io.EOF) {
		return book{}, cli.Hint(fmt.Errorf("%s is empty", name), "the first line names the columns: %s", strings.Join(bookColumns, ","))
	}
	if err != nil {
		return book{}, bookError(name, err)
	}
	at, err := findColumns(header)
	if err != nil {
		return book{}, cli.Hint(fmt.Errorf("%s, line 1: %w", name, err), "the first line names the columns: %s", strings.Join(bookColumns, ","))
	}
	b := book{}
	first := map[string]int{} // line of each id
	for {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return book{}, bookError(name, err)
		}
		o, column, err := parseOrder(fields, at)
		line, _ := lines.FieldPos(0)
		if before, twice := first[o.id]; err == nil && twice {
			column, err = 0, fmt.Errorf("id %.40q: line %d has it already", o.id, before)
		}
		if err == nil && len(b.orders) == auction.MaxOrders {
			column, err = 0, fmt.Errorf("more than %d orders", auction.MaxOrders)
		}
		if err != nil {
			line, column := lines.FieldPos(at[column])
			return book{}, lineError{name, line, column, err}
		}
		first[o.id] = line
		b.orders = append(b.orders, o)
	}
}

// bookError names the line and the column of what encoding/csv did not understand.
func bookError(name string, err error) error {
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return lineError{name, wrong.Line, wrong.Column, wrong.Err}
	}
	return fmt.Errorf("reading %s: %w", name, err)
}

// findColumns returns where each of bookColumns is, -1 for a node that is not there.
func findColumns(header []string) ([]int, error) {
	at := make([]int, len(bookColumns))
	for i, want := range bookColumns {
		at[i] = slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), want) })
		if at[i] < 0 && want != "node" {
			return nil, fmt.Errorf("no column %q among %.200q", want, strings.Join(header, ","))
		}
	}
	return at, nil
}

// parseOrder reads a line; an error comes with which of bookColumns is wrong.
func parseOrder(fields []string, at []int) (o order, column int, err error) {
	field := func(i int) string { return strings.TrimSpace(fields[at[i]]) }
	o.id = strings.Clone(field(0)) // fields are reused
	if o.id == "" {
		return o, 0, errors.New("id is empty")
	}
	switch side := field(1); strings.ToLower(side) {
	case "buy", "bid":
		o.side = auction.Buy
	case "sell", "ask", "offer":
		o.side = auction.Sell
	default:
		return o, 1, fmt.Errorf("side %.40q: want buy or sell (or bid, ask, offer)", side)
	}
	number, err := exactjson.ParseDecimal(field(2))
	if err != nil {
		return o, 2, fmt.Errorf("quantity_wh: %w", err)
	}
	quantity, whole := number.Scaled(0)
	if !whole || quantity < 1 || quantity > int64(auction.MaxQuantity) {
		return o, 2, fmt.Errorf("quantity_wh %.40q: want a whole number from 1 to %d", field(2), auction.MaxQuantity)
	}
	o.quantity = grid.WattHours(quantity)
	if o.price, err = exactjson.ParseDecimal(field(3)); err != nil {
		return o, 3, fmt.Errorf("price: %w", err)
	}
	if at[4] >= 0 {
		o.node = strings.Clone(field(4))
	}
	return o, 0, nil
}

package modkit

import (
	"context"
	"errors"
	"fmt"
)

// Invariant is a property of a module's state that holds after every message and every block.
type Invariant struct {
	// Name as the module's specification gives it, such as "INV-ESCROW".
	Name string
	// Check reads the whole state and says how the property is broken, if it is. It writes
	// nothing. Its cost grows with the state: for tests and audits, never for a block.
	Check func(context.Context) error
}

// Check runs all invariants and joins what is broken, each under its name.
func Check(ctx context.Context, invariants []Invariant) error {
	var broken []error
	for _, invariant := range invariants {
		if err := invariant.Check(ctx); err != nil {
			broken = append(broken, fmt.Errorf("%s: %w", invariant.Name, err))
		}
	}
	return errors.Join(broken...)
}

// Package mutants breaks the product on purpose, one named breakage after the other, and
// sees that a test fails each time. A promise that no test holds the code to is one that
// somebody takes back without noticing.
//
// No source file is touched: what is changed is handed to go test as an overlay.
package mutants

import (
	"errors"
	"fmt"
	"strings"
)

// Mutant is a breakage.
type Mutant struct {
	Name    string
	Why     string // what it would do to those who run kubescribe
	File    string // from the root of the repository
	Find    string // stands in it exactly once
	Replace string
	Package string // of the test, as in ./shared/bus
	Test    string // that has to fail, as in TestBus/fencing
}

// Why a mutant cannot be made.
var (
	errNotFound  = errors.New("its text is not there any more: take it as it stands there now, or drop the mutant with the code")
	errAmbiguous = errors.New("its text is there more than once: take more of what stands around it")
	errSame      = errors.New("it changes nothing: have it replace its text by another")
)

// apply is the file with the breakage in it.
func (m Mutant) apply(source string) (string, error) {
	switch n := strings.Count(source, m.Find); {
	case m.Find == m.Replace:
		return "", fmt.Errorf("%s: %w", m.File, errSame)
	case n == 0 || m.Find == "":
		return "", fmt.Errorf("%s: %w", m.File, errNotFound)
	case n > 1:
		return "", fmt.Errorf("%s: %w", m.File, errAmbiguous)
	}
	return strings.Replace(source, m.Find, m.Replace, 1), nil
}

// pattern is what go test -run takes to run a test alone.
func pattern(test string) string {
	return "^" + strings.ReplaceAll(test, "/", "$/^") + "$"
}

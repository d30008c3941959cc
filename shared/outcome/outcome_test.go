package outcome

import (
	"regexp"
	"testing"
)

// TestAll: each outcome is one word, is there once, and says what it means.
func TestAll(t *testing.T) {
	word := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[Outcome]bool{}
	for _, e := range All() {
		if !word.MatchString(string(e.Outcome)) || e.By == "" || e.Meaning == "" || seen[e.Outcome] {
			t.Errorf("%+v", e)
		}
		seen[e.Outcome] = true
	}
}

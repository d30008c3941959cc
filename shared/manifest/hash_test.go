package manifest

import "testing"

// The ids are those that git hash-object printed.
func TestHash(t *testing.T) {
	for content, want := range map[string]string{
		"":                 "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
		"{}\n":             "0967ef424bce6791893e9a57bb952f80fd536e93",
		"apiVersion: v1\n": "9cde8e8dd9d6d5d927fef48b9acf681addb6ce6a",
	} {
		if got := Hash([]byte(content)); got != want {
			t.Errorf("Hash(%q) = %s, want %s", content, got, want)
		}
	}
}

//go:build !faultpoints

package faultpoint_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubescribe/kubescribe/shared/faultpoint"
)

// TestNone: without the tag an order is not even read, and a step's own answer is what
// comes back.
func TestNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "order")
	t.Setenv(faultpoint.Env, file)
	must(t, faultpoint.Order{Point: "put KS_PHASE", Do: faultpoint.Fail, Hit: 1}.Give(file))
	if n, err := faultpoint.Answered(faultpoint.Put, "KS_PHASE", func() (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	own := errors.New("its own")
	if _, err := faultpoint.Answered(faultpoint.Put, "KS_PHASE", func() (int, error) { return 0, own }); err != own {
		t.Error(err)
	}
	must(t, faultpoint.Do(faultpoint.Put, "KS_PHASE", func() error { return nil }))
	if err := faultpoint.Do(faultpoint.Put, "KS_PHASE", func() error { return own }); err != own {
		t.Error(err)
	}
	for _, name := range []string{file, file + faultpoint.Seen} {
		if _, err := os.Stat(name); (err == nil) != (name == file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

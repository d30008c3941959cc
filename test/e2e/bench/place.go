package bench

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// place is where a benchmark runs.
type place struct {
	bins harness.Bins
	dir  string
	logs string
}

// inPlace runs a benchmark in a directory of its own, of which nothing stays. Logs do where
// another one is named for them.
func inPlace(logs string, run func(place) error) (err error) {
	bins, err := harness.FindBins()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kubescribe-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if logs == "" {
		logs = filepath.Join(dir, "logs")
	}
	return run(place{bins, dir, logs})
}

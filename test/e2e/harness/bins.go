package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Bins is the folder that holds the built programs.
type Bins string

// FindBins is bin/ at the root of the repository that the working directory is in.
func FindBins() (Bins, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the built programs: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return Bins(filepath.Join(dir, "bin")), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("finding the built programs: no go.work above the working directory: run this inside the repository")
		}
		dir = up
	}
}

// Program is the path of a built program.
func (b Bins) Program(name string) (string, error) {
	path := filepath.Join(string(b), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built: run make build (%w)", name, err)
	}
	return path, nil
}

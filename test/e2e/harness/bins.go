package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Bins is the folder that holds the built programs.
type Bins string

// FindBins is $KUBESCRIBE_BIN, the folder or a program in it, else bin/ at the
// root of the repository that the working directory is in.
func FindBins() (Bins, error) {
	if named := os.Getenv("KUBESCRIBE_BIN"); named != "" {
		return BinsAt(named)
	}
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
			return "", errors.New("finding the built programs: no go.work above the working directory; set KUBESCRIBE_BIN to the folder they are in")
		}
		dir = up
	}
}

// BinsAt is the folder of that name, or the one that a program of that name
// stands in.
func BinsAt(name string) (Bins, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("finding the built programs: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("finding the built programs: %w", err)
	}
	if !info.IsDir() {
		path = filepath.Dir(path)
	}
	return Bins(path), nil
}

// Program is the path of a built program.
func (b Bins) Program(name string) (string, error) {
	path := filepath.Join(string(b), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built: run make build (%w)", name, err)
	}
	return path, nil
}

package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Disk is a file system of its own that can be filled.
type Disk struct{ Dir string }

// MountDisk makes one of so many bytes in memory, and mounts it at a directory, which it
// makes. It takes the right to mount.
func MountDisk(dir string, size int64) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("mounting a disk: %w", err)
	}
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, syscall.EPERM) {
		err = fmt.Errorf("%w: run this as root, or by unshare --map-root-user --mount, and in a container with the capability SYS_ADMIN", err)
	}
	if err != nil {
		return nil, fmt.Errorf("mounting a disk of memory at %s: %w", dir, err)
	}
	return &Disk{dir}, nil
}

// Unmount ends it, with all that is on it.
func (d *Disk) Unmount() error {
	if err := syscall.Unmount(d.Dir, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting %s: %w", d.Dir, err)
	}
	return nil
}

func (d *Disk) ballast() string { return filepath.Join(d.Dir, "ballast") }

// Fill leaves no room on it.
func (d *Disk) Fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return fmt.Errorf("filling %s: %w", d.Dir, err)
	}
	defer f.Close()
	at := int64(0)
	for size := int64(16 << 20); size >= 4<<10; {
		switch err := syscall.Fallocate(int(f.Fd()), 0, at, size); {
		case errors.Is(err, syscall.ENOSPC):
			size /= 4
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("filling %s: %w", d.Dir, err)
		default:
			at += size
		}
	}
	return nil
}

// MakeRoom ends a Fill.
func (d *Disk) MakeRoom() error {
	if err := os.Remove(d.ballast()); err != nil {
		return fmt.Errorf("making room on %s: %w", d.Dir, err)
	}
	return nil
}

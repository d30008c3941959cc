//go:build !linux

package harness

import "errors"

var errNoDisk = errors.New("disks of memory can be mounted on Linux alone: run this there")

// Disk is a file system of its own that can be filled. Here there is none.
type Disk struct{ Dir string }

// MountDisk makes one. Here it cannot.
func MountDisk(string, int64) (*Disk, error) { return nil, errNoDisk }

// Unmount ends it.
func (d *Disk) Unmount() error { return errNoDisk }

// Fill leaves no room on it.
func (d *Disk) Fill() error { return errNoDisk }

// MakeRoom ends a Fill.
func (d *Disk) MakeRoom() error { return errNoDisk }

// Package diff compares the state of a cluster with that of a base folder: a
// merge of sorted entries, whose memory does not grow with their number.
//
// It is pure: the same states and configuration give the same results.
package diff

import (
	"errors"
	"fmt"

	"github.com/kubescribe/kubescribe/shared/event"
)

// ErrState says that a state is none that can be compared: not sorted, with a path
// in two lanes, or with entries that have no place in it.
var ErrState = errors.New("a state cannot be compared")

// foreignShown bounds how many foreign files, and how many withheld ones, are named.
const foreignShown, pendingShown = 20, 20

// Config is what a comparison depends on beside the two states.
type Config struct {
	Run        string
	Prune      event.Prune
	Incomplete []string       // types that could not be listed
	Unmirrored []string       // types that are never mirrored
	Approved   string         // the digest of the deletions that a person approved
	Previous   *event.Pending // what an earlier run withheld
	Part       func(group, resource string) int
}

// Merge hands the results to emit, in the order of their paths, each with its lane,
// and says what they are in all. Whether the DELETEs among them are withheld is
// known only then. Nothing holds if it returns an error.
func Merge(cfg Config, lanes map[int]State, repo State, emit func(part int, e event.Entry) error) (event.Outcome, error) {
	cluster := pullLanes(lanes)
	defer cluster.stop()
	files := pull("the repository", repo)
	defer files.stop()
	m := merger{Config: cfg, emit: emit, types: typesOf(cfg.Incomplete, cfg.Unmirrored), orphans: newDeletions()}
	m.out.Run, m.out.Incomplete = cfg.Run, sorted(cfg.Incomplete)
	for {
		object, part, err := cluster.peek()
		if err != nil {
			return event.Outcome{}, err
		}
		file, err := files.peek()
		switch {
		case err != nil:
		case object == nil && file == nil:
			return m.outcome(), nil
		case file == nil || object != nil && object.Path < file.Path:
			err = m.objectAlone(part, *object)
			cluster.advance()
		case object == nil || file.Path < object.Path:
			err = m.fileAlone(*file)
			files.advance()
		default:
			err = m.both(part, *object, *file)
			cluster.advance()
			files.advance()
		}
		if err != nil {
			return event.Outcome{}, err
		}
	}
}

// merger is a comparison under way.
type merger struct {
	Config
	emit    func(part int, e event.Entry) error
	types   types
	orphans *deletions
	all     int // resources that either side has
	out     event.Outcome
}

func (m *merger) objectAlone(part int, o event.Entry) error {
	m.all++
	if o.Hash == "" { // there is nothing to write
		return nil
	}
	m.out.Created++
	return m.emit(part, event.Entry{Path: o.Path, Hash: o.Hash, Version: o.Version, What: event.ResultCreate})
}

func (m *merger) fileAlone(f event.Entry) error {
	foreign, err := m.file(f)
	if err != nil || foreign {
		return err
	}
	namespace, group, resource, told := typeOf(f.Path)
	if !told || m.types.has(namespace, group, resource) || m.Prune.Mode != event.PruneAlways {
		m.out.Kept++
		return nil
	}
	m.orphans.add(f.Path)
	return m.emit(m.Part(group, resource), event.Entry{Path: f.Path, Hash: f.Hash, What: event.ResultDelete})
}

func (m *merger) both(part int, o, f event.Entry) error {
	foreign, err := m.file(f)
	switch {
	case err != nil || foreign: // several resources in the file of one: never changed
		return err
	case o.Hash == "": // it is there, so its file stays as it is
		return nil
	case o.Hash == f.Hash:
		m.out.Equal++
		return nil
	}
	m.out.Updated++
	return m.emit(part, event.Entry{Path: o.Path, Hash: o.Hash, Version: o.Version, What: event.ResultReconcile})
}

// file counts a file of the folder.
func (m *merger) file(f event.Entry) (foreign bool, err error) {
	switch f.What {
	case event.Resource:
		m.all++
		return false, nil
	case event.Foreign:
		if m.out.ForeignCount++; m.out.ForeignCount <= foreignShown {
			m.out.Foreign = append(m.out.Foreign, f.Path)
		}
		return true, nil
	default:
		return false, fmt.Errorf("%w: the repository has a %s, %q", ErrState, f.What, f.Path)
	}
}

func (m *merger) outcome() event.Outcome {
	if m.out.Pending = m.orphans.withheld(m.Config, m.all); m.out.Pending == nil {
		m.out.Deleted = m.orphans.count
	}
	return m.out
}

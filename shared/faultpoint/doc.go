// Package faultpoint names the durable steps of every role, and has a program that is
// built with the tag faultpoints crash, stand still, or be told something wrong at one of
// them. What is built without the tag holds none of it: [Before] and [After] are empty.
//
// A point is a step and what it is of, as in "put KS_PHASE". Which roles reach it says
// [Points], and nobody reaches another.
package faultpoint

import "strings"

// Step is something that is durable once it is done.
type Step string

// The steps, and what each is of.
const (
	Fence      Step = "fence"            // a lane's owner replaces the one before: a stream
	Publish    Step = "publish"          // into a lane: a kind of message
	Store      Step = "store"            // a cursor with its one output: a stream
	StoreBatch Step = "store a batch in" // a cursor with several: a stream
	Put        Step = "put"              // a record: a bucket
	Remove     Step = "remove"           // a record: a bucket
	Ask        Step = "ask"              // a control request: its kind
	Ack        Step = "acknowledge"      // a control request that was carried out: its kind
	Chunk      Step = "chunk"            // of a series: a side of a run
	End        Step = "end"              // of a series: a side of a run
	Letter     Step = "letter"           // a dead one: a stage
	Purge      Step = "purge"            // what nobody needs any more: a stream
	Push       Step = "push"             // of commits: the remote
)

// Name is that of a point: of a side of a run, without the number of its lane.
func Name(s Step, of string) string { return string(s) + " " + strings.TrimRight(of, "-0123456789") }

// Do does a step, unless an order says that it crashes or fails here. An error that says
// ErrLost is of a step that was done.
func Do(s Step, of string, do func() error) error {
	if err := Before(s, of); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return After(s, of)
}

// Answered is [Do] of a step that gives something back.
func Answered[T any](s Step, of string, do func() (T, error)) (T, error) {
	var none T
	if err := Before(s, of); err != nil {
		return none, err
	}
	v, err := do()
	if err != nil {
		return v, err
	}
	if err := After(s, of); err != nil {
		return none, err
	}
	return v, nil
}

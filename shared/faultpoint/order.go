package faultpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Env names the file that holds a process's order. Where it is not set there are none.
const Env = "KUBESCRIBE_FAULTPOINTS"

// Seen is the end of the name of the file, beside that of the order, in which a process
// notes each point that it reaches, once, a line each.
const Seen = ".seen"

// Action is what happens at a point.
type Action string

// What may happen at a point. To crash is to be killed by SIGKILL.
const (
	CrashBefore Action = "crash before"
	CrashAfter  Action = "crash after"
	Lose        Action = "lose the answer" // the step is done, and its error says ErrLost
	Fail        Action = "fail"            // the step is not done, and its error says ErrFailed
	Stall       Action = "stall"           // before the step, until Until is there
)

// The errors of steps. Whoever meets them cannot tell which one it is.
var (
	ErrLost   = errors.New("no answer came in time")
	ErrFailed = errors.New("the step failed")
)

// Order is what is to happen once. It may be given at any time. Its file is gone as soon
// as it is carried out, before anything else happens.
type Order struct {
	Point string // see Name
	Do    Action
	Hit   int    // the how-manieth time that the point is reached since, from 1
	With  []int  // processes that are killed in the same moment, before anything else
	Until string // a file
}

// Give gives an order to the process that has the file as its Env.
func (o Order) Give(file string) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("giving an order: %w", err)
	}
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		return fmt.Errorf("giving an order: %w", err)
	}
	return os.Rename(file+".new", file)
}

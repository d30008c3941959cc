package reconciler

import "time"

// Clock is the time by which runs wait.
type Clock interface {
	Now() time.Time
	// At delivers once, when a moment has come.
	At(moment time.Time) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                       { return time.Now() }
func (systemClock) At(moment time.Time) <-chan time.Time { return time.After(time.Until(moment)) }

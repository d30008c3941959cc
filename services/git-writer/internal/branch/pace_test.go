package branch

import (
	"testing"
	"time"
)

// TestPace: pushes are an interval apart, by whomever they are made; an interval that was
// shortened counts at once.
func TestPace(t *testing.T) {
	var p Pace
	begun := time.Now()
	for _, step := range []struct {
		after, interval, want time.Duration
	}{
		{0, 10 * time.Second, 0},
		{4 * time.Second, 10 * time.Second, 6 * time.Second},
		{4 * time.Second, 5 * time.Second, time.Second},
		{4 * time.Second, 0, 0},
		{5 * time.Second, 10 * time.Second, 9 * time.Second}, // behind the one before
		{14 * time.Second, 10 * time.Second, 0},
	} {
		now := begun.Add(step.after)
		due := p.due(step.interval, now)
		if got := p.take(step.interval, now); got != step.want || due != step.want {
			t.Errorf("after %s, %s apart: due in %s, and taken it is %s, want %s", step.after, step.interval, due, got, step.want)
		}
	}
}

// TestPaceGivenBack: a turn that nothing was pushed in is nobody's; one that others have
// taken since stays theirs.
func TestPaceGivenBack(t *testing.T) {
	var p Pace
	first := time.Now()
	p.take(0, first)
	second := first.Add(time.Minute)
	p.take(0, second)
	p.give(first)
	if got := p.due(time.Hour, second); got != time.Hour {
		t.Errorf("behind one that stands it is due in %s", got)
	}
	p.give(second)
	if got := p.due(time.Hour, second); got != 0 {
		t.Errorf("behind two that were given back it is due in %s", got)
	}
	p.take(0, first)
	p.take(0, second)
	p.give(second)
	if got := p.due(time.Hour, second); got != 59*time.Minute {
		t.Errorf("behind the one before it is due in %s", got)
	}
}

// TestPaceLeftAlone: what asks for less does not make it sooner that a remote may be asked again.
func TestPaceLeftAlone(t *testing.T) {
	var p Pace
	now := time.Now()
	p.leave(now.Add(time.Minute))
	p.leave(now.Add(time.Second))
	if asked := p.asked(now); asked != time.Minute {
		t.Errorf("it asked for %s", asked)
	}
	if asked := p.asked(now.Add(time.Minute)); asked != 0 {
		t.Errorf("a minute later it asks for %s", asked)
	}
}

//go:build faultpoints

package faultpoint

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// stallEvery is how often it is looked whether a stall is to end.
const stallEvery = 5 * time.Millisecond

// Before comes before a step: an error means that it is not to be done.
func Before(s Step, of string) error {
	point := Name(s, of)
	orders.note(point)
	o, due := orders.due(point, CrashBefore, Fail, Stall)
	if !due {
		return nil
	}
	o.kill()
	switch o.Do {
	case CrashBefore:
		crash()
	case Stall:
		for _, err := os.Stat(o.Until); err != nil; _, err = os.Stat(o.Until) {
			<-time.After(stallEvery)
		}
		return nil
	}
	return fmt.Errorf("%s: %w", point, ErrFailed)
}

// After comes behind a step that was done: an error means that its answer is lost.
func After(s Step, of string) error {
	point := Name(s, of)
	o, due := orders.due(point, CrashAfter, Lose)
	if !due {
		return nil
	}
	o.kill()
	if o.Do == CrashAfter {
		crash()
	}
	return fmt.Errorf("%s: %w", point, ErrLost)
}

// orders are those of this process.
var orders = ordered{file: os.Getenv(Env), seen: map[string]bool{}}

type ordered struct {
	file string

	mu   sync.Mutex
	seen map[string]bool // points that were noted
	text string          // of the order that hits is of
	hits int
}

// note keeps, across a crash, that a point was reached.
func (d *ordered) note(point string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == "" || d.seen[point] {
		return
	}
	d.seen[point] = true
	f, err := os.OpenFile(d.file+Seen, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(point + "\n")
	}
	if err != nil {
		panic(err) // a test that cannot see what it does is none
	}
	_ = f.Close()
}

// due is the order that is to be carried out now, by one who asks for some actions at a
// point. It is given once.
func (d *ordered) due(point string, actions ...Action) (o Order, due bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, err := os.ReadFile(d.file)
	if err != nil { // there is none
		return o, false
	}
	if err := json.Unmarshal(text, &o); err != nil {
		panic(err)
	}
	if string(text) != d.text {
		d.text, d.hits = string(text), 0
	}
	for _, a := range actions {
		if o.Point == point && o.Do == a {
			d.hits++
			due = d.hits == o.Hit
		}
	}
	if due {
		d.text = ""
		if err := os.Remove(d.file); err != nil {
			panic(err)
		}
	}
	return o, due
}

// kill kills those who go with it.
func (o Order) kill() {
	for _, pid := range o.With {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // gone already is as good
		}
	}
}

// crash ends this process as the machine's kernel does when it has no memory left:
// nothing of it runs any more.
func crash() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {}
}

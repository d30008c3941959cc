package demo

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// printer writes lines, from any goroutine.
type printer struct {
	mu  sync.Mutex
	out io.Writer // guarded by mu
}

// say writes a line.
func (p *printer) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.out, format+"\n", args...) // nobody may be there to read it
}

// step does something that takes a while: it says what, and then how long it
// took.
func (p *printer) step(what string, do func() error) error {
	begun := time.Now()
	p.say("%s ...", what)
	if err := do(); err != nil {
		return err
	}
	p.say("  done in %s", time.Since(begun).Round(100*time.Millisecond))
	return nil
}

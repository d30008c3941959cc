package phase

// maxPassed bounds how many objects a run remembers to have changed behind its
// MARKs: about 10 MB.
const maxPassed = 1 << 16

// Passed is the paths of the objects that changed behind the MARK of their lane
// and were forwarded: results for them are too late. The zero value is empty.
type Passed struct {
	paths map[string]struct{}
	full  bool
}

// Add remembers a path.
func (p *Passed) Add(path string) {
	if p.full {
		return
	}
	if p.paths == nil {
		p.paths = map[string]struct{}{}
	}
	p.paths[path] = struct{}{}
	if len(p.paths) > maxPassed {
		p.Fill()
	}
}

// Fill makes it full: what had passed cannot be told.
func (p *Passed) Fill() { p.paths, p.full = nil, true }

// Has reports whether a path was remembered.
func (p *Passed) Has(path string) bool {
	_, ok := p.paths[path]
	return ok
}

// Full reports that there were more than can be remembered.
func (p *Passed) Full() bool { return p.full }

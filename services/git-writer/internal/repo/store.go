package repo

import (
	"bytes"
	"crypto/sha1" // #nosec G505 -- a pack's checksum is SHA-1
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// store holds what was fetched for one tip of the remote branch: a pack of its
// commit and all its trees, named after it, and packs without a name: of history,
// which live as long as the store, and the newest ones of blobs.
//
// The name is given when the pack is complete and was read once, so that a
// crash leaves either an incoming-* file, which the next fetch removes, or a whole
// pack. Nothing is synced: a pack that a power failure tore is found by its checksum when
// it is opened, removed and fetched again.
type store struct {
	dir string
	tip plumbing.Hash

	users atomic.Int32 // who holds it; the files are closed after the last

	mu        sync.Mutex
	packs     []*packfile.Packfile
	blobPacks []*packfile.Packfile // those of packs that hold blobs alone, the oldest first
	bases     cache.Object
	bad       bool // an object that should be there could not be read

	deep  plumbing.Hash // where the history fetched last begins
	depth int           // and how many commits deep it is; 0: all
}

const (
	incoming = "incoming-"

	// baseCache is the memory for objects that others are deltas of.
	baseCache = 8 * cache.MiByte

	// maxBlobPacks bounds how many packs of blobs are kept: each is an open file.
	maxBlobPacks = 16
)

// errTorn says that a pack file is not what was written.
var errTorn = errors.New("pack is torn")

// newStore is an empty store for tip. Zero is the tip of a branch that does not exist.
func newStore(dir string, tip plumbing.Hash) *store {
	s := &store{dir: dir, tip: tip, bases: cache.NewObjectLRU(baseCache)}
	s.users.Store(1)
	return s
}

func (s *store) retain() *store {
	s.users.Add(1)
	return s
}

func (s *store) release() {
	if s.users.Add(-1) > 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.packs {
		_ = p.Close()
	}
	s.packs, s.blobPacks = nil, nil
}

func (s *store) tipPack() string { return filepath.Join(s.dir, s.tip.String()+".pack") }

// openTip reads the pack of the tip that an earlier process left.
func (s *store) openTip() error {
	_, err := s.open(s.tipPack())
	if err == nil {
		err = s.checkTip()
	}
	return err
}

// receiveTip stores the pack of the tip under its name.
func (s *store) receiveTip(r io.Reader) error {
	path, err := s.download(r)
	if err != nil {
		return err
	}
	_, err = s.open(path)
	if err = errors.Join(err, s.checkTip()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	// A crash before this leaves an incoming file that nobody reads; after it,
	// a pack that saves the next start its fetch.
	if err := os.Rename(path, s.tipPack()); err != nil {
		return fmt.Errorf("naming fetched pack: %w", err)
	}
	return nil
}

// receive stores a pack for as long as the store lives.
func (s *store) receive(r io.Reader) error {
	_, err := s.receivePack(r)
	return err
}

// receiveBlobs stores a pack until so many others of blobs were stored.
func (s *store) receiveBlobs(r io.Reader) error {
	p, err := s.receivePack(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobPacks = append(s.blobPacks, p); len(s.blobPacks) > maxBlobPacks {
		oldest := s.blobPacks[0]
		s.blobPacks = s.blobPacks[1:]
		s.packs = slices.DeleteFunc(s.packs, func(p *packfile.Packfile) bool { return p == oldest })
		_ = oldest.Close()
	}
	return nil
}

func (s *store) receivePack(r io.Reader) (*packfile.Packfile, error) {
	path, err := s.download(r)
	if err != nil {
		return nil, err
	}
	p, err := s.open(path)
	// The open descriptor is all that keeps the pack from here on.
	return p, errors.Join(err, os.Remove(path))
}

func (s *store) download(r io.Reader) (path string, err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", fmt.Errorf("making cache directory: %w", err)
	}
	f, err := os.CreateTemp(s.dir, incoming)
	if err != nil {
		return "", fmt.Errorf("storing pack: %w", err)
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Close()
	} else {
		_ = f.Close()
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("storing pack: %w", err)
	}
	return f.Name(), nil
}

// open reads a pack through, which checks all of it, and adds it.
func (s *store) open(path string) (p *packfile.Packfile, err error) {
	f, err := osfs.New(filepath.Dir(path)).Open(filepath.Base(path))
	if err != nil {
		return nil, fmt.Errorf("opening pack: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	if err := checkSum(f); err != nil {
		return nil, fmt.Errorf("checking pack: %w", err)
	}
	index := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(f), index)
	if err != nil {
		return nil, fmt.Errorf("reading pack: %w", err)
	}
	if _, err := parser.Parse(); err != nil {
		return nil, fmt.Errorf("reading pack: %w", err)
	}
	offsets, err := index.Index()
	if err != nil {
		return nil, fmt.Errorf("indexing pack: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p = packfile.NewPackfileWithCache(offsets, nil, f, s.bases, 0)
	s.packs = append(s.packs, p)
	return p, nil
}

// checkSum compares the last 20 bytes of a pack with the SHA-1 of the others
// (gitformat-pack, "Trailer").
func checkSum(f billy.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := sha1.New() // #nosec G401
	if size < 32 {
		return errTorn
	}
	if _, err := io.CopyN(sum, f, size-20); err != nil {
		return err
	}
	var trailer [20]byte
	if _, err := io.ReadFull(f, trailer[:]); err != nil {
		return err
	}
	if !bytes.Equal(trailer[:], sum.Sum(nil)) {
		return errTorn
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// checkTip makes sure that the pack begins what it is named after.
func (s *store) checkTip() error {
	root, err := s.root()
	if err != nil {
		return err
	}
	_, err = s.tree(root)
	return err
}

// root is the tree of the tip; zero if there is no tip.
func (s *store) root() (plumbing.Hash, error) {
	if s.tip.IsZero() {
		return plumbing.ZeroHash, nil
	}
	c, err := s.commit(s.tip)
	return c.Tree, err
}

// emptyTree need not be stored anywhere to exist.
var emptyTree = hashObject(treeObject, nil)

// tree reads the content of a directory, which the store must have.
func (s *store) tree(hash plumbing.Hash) ([]byte, error) {
	if hash == emptyTree {
		return nil, nil
	}
	data, ok, err := s.read(hash, plumbing.TreeObject)
	if err == nil && !ok {
		err = plumbing.ErrObjectNotFound
	}
	if err != nil {
		s.mu.Lock()
		s.bad = true
		s.mu.Unlock()
		return nil, fmt.Errorf("reading tree %s: %w: %w", hash, ErrCache, err)
	}
	return data, nil
}

// healthy is false once an object that the store must have could not be read.
func (s *store) healthy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.bad
}

// commit reads a commit. Not to have it is plumbing.ErrObjectNotFound.
func (s *store) commit(hash plumbing.Hash) (CommitInfo, error) {
	data, ok, err := s.read(hash, plumbing.CommitObject)
	if err == nil && !ok {
		err = plumbing.ErrObjectNotFound
	}
	if err != nil {
		return CommitInfo{}, fmt.Errorf("reading commit %s: %w", hash, err)
	}
	return parseCommit(hash, data), nil
}

// read copies an object's content out of the packs, if one has it.
func (s *store) read(hash plumbing.Hash, kind plumbing.ObjectType) (data []byte, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.packs {
		o, err := p.Get(hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if o.Type() != kind {
			return nil, false, fmt.Errorf("it is a %s", o.Type())
		}
		r, err := o.Reader()
		if err != nil {
			return nil, false, err
		}
		data := make([]byte, o.Size())
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, false, err
		}
		return data, true, nil
	}
	return nil, false, nil
}

// ours matches the files that this package writes into a cache directory.
var ours = regexp.MustCompile(`^(?:` + incoming + `.*|[0-9a-f]{40}\.pack)$`)

// sweep removes from the cache directory all packs but that of tip: those of
// earlier tips, which whoever still reads them has open, and what a crash left.
func sweep(dir string, tip plumbing.Hash) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading cache directory: %w", err)
	}
	for _, e := range entries {
		if !ours.MatchString(e.Name()) || e.Name() == tip.String()+".pack" {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("clearing cache directory: %w", err)
		}
	}
	return nil
}

package event

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Version is the contract's version, carried in HeaderVersion.
const Version = 1

// Header names of the envelope. Those in the Nats- namespace are the server's. What is not
// known is sent on as it came (see Forward), so that a newer watcher may say more. Ks-Actor is
// kept for one thing of that kind: who made a live change, by the API server's audit log,
// where HeaderFieldManager is what the object tells. Nobody sets it yet.
const (
	HeaderVersion      = "Ks-V"
	HeaderKind         = "Ks-Kind"
	HeaderID           = "Ks-Id"
	HeaderCursor       = "Ks-Cursor"
	HeaderState        = "Ks-State"
	HeaderOp           = "Ks-Op"
	HeaderCluster      = "Ks-Cluster"
	HeaderClusterID    = "Ks-Cluster-Id"
	HeaderGroup        = "Ks-Group"
	HeaderAPIVersion   = "Ks-Api-Version"
	HeaderResource     = "Ks-Resource"
	HeaderObjectKind   = "Ks-Object-Kind"
	HeaderNamespace    = "Ks-Namespace"
	HeaderName         = "Ks-Name"
	HeaderUID          = "Ks-Uid"
	HeaderRevision     = "Ks-Resource-Version"
	HeaderHash         = "Ks-Hash"
	HeaderSanitizer    = "Ks-Sanitizer"
	HeaderTime         = "Ks-Time"
	HeaderFieldManager = "Ks-Field-Manager"
	HeaderOrigin       = "Ks-Origin"
	HeaderRun          = "Ks-Run"
	HeaderAttempt      = "Ks-Attempt"
	HeaderDestination  = "Ks-Destination"
	HeaderPath         = "Ks-Path"
	HeaderSealedTo     = "Ks-Sealed-To"
	HeaderReplaces     = "Ks-Replaces"
	HeaderMore         = "Ks-More"
	HeaderTo           = "Ks-To"
	HeaderRegistry     = "Ks-Registry"
	HeaderResume       = "Ks-Resume"
	HeaderRetry        = "Ks-Retry"
	HeaderPart         = "Ks-Part"
	HeaderReason       = "Ks-Reason"
	HeaderAfter        = "Ks-After"
	HeaderUntil        = "Ks-Until"
)

// HeaderLetterPrefix begins the names of those headers of a dead letter that the message in it
// did not have.
const HeaderLetterPrefix = "Ks-Letter-"

// Kind tells what a message on a data stream is.
type Kind string

// The kinds of message.
const (
	KindChange     Kind = "change"     // one version of one object's intent
	KindMark       Kind = "mark"       // a lane was frozen here for a run
	KindFence      Kind = "fence"      // a lane has a new owner; in KS_LIVE, the router has lost its place in KS_EVENTS
	KindCheckpoint Kind = "checkpoint" // nothing but a cursor
	// KindRepoState asks for the state of the repository at its position: see Barrier.
	KindRepoState Kind = "REQUEST_REPO_STATE"
)

// ErrNewerVersion says that a message was written by a newer kubescribe than
// its reader: the hop stalls until the reader is upgraded, losing nothing.
var ErrNewerVersion = errors.New("message has a newer envelope version than this program reads; upgrade it")

// ErrMalformed says that a message is not one this contract allows.
var ErrMalformed = errors.New("malformed message")

// Header is a message's headers: the same shape as nats.Header, without the
// dependency.
type Header = map[string][]string

// KindOf reads a message's kind, refusing versions newer than this program.
func KindOf(h Header) (Kind, error) {
	v, err := strconv.Atoi(get(h, HeaderVersion))
	switch {
	case err != nil || v < 1:
		return "", fmt.Errorf("%w: header %s is %q, not a version", ErrMalformed, HeaderVersion, get(h, HeaderVersion))
	case v > Version:
		return "", fmt.Errorf("%w: it has %d, this program reads up to %d", ErrNewerVersion, v, Version)
	}
	k := Kind(get(h, HeaderKind))
	switch k {
	case KindChange, KindMark, KindFence, KindCheckpoint, KindRepoState:
		return k, nil
	}
	return "", fmt.Errorf("%w: header %s is %q", ErrMalformed, HeaderKind, k)
}

// RegistryOf is the registry's revision that a message names: whoever reads it has
// to hold that one, or a newer one. Its errors wrap ErrMalformed.
func RegistryOf(h Header) (uint64, error) { return getUint(h, HeaderRegistry) }

// NewHeader is an envelope that says no more than its kind.
func NewHeader(k Kind) Header {
	return Header{HeaderVersion: {strconv.Itoa(Version)}, HeaderKind: {string(k)}}
}

// get reads a header value written by put.
func get(h Header, name string) string {
	v := h[name]
	if len(v) == 0 {
		return ""
	}
	return Unescape(v[0])
}

// put writes a header value; an empty one is left out.
func put(h Header, name, value string) {
	if value != "" {
		h[name] = []string{Escape(value)}
	}
}

func putUint(h Header, name string, v uint64) {
	if v != 0 {
		h[name] = []string{strconv.FormatUint(v, 10)}
	}
}

func getUint(h Header, name string) (uint64, error) {
	s := get(h, name)
	if s == "" {
		return 0, nil
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: header %s is %q, not a number", ErrMalformed, name, s)
	}
	return v, nil
}

func putTime(h Header, name string, t time.Time) {
	if !t.IsZero() {
		h[name] = []string{t.UTC().Format(time.RFC3339Nano)}
	}
}

func getTime(h Header, name string) (time.Time, error) {
	s := get(h, name)
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: header %s is %q, not an RFC 3339 time", ErrMalformed, name, s)
	}
	return t.UTC(), nil
}

// Escape keeps a value on one header line, free of the blanks that a header parser
// would trim, and UTF-8, which a chunk of contents has to be: control characters, DEL,
// %, blanks at either end and bytes that are no character are percent-encoded
// (RFC 3986, section 2.1).
func Escape(s string) string {
	var b strings.Builder
	for i, c := range s {
		edge := c == ' ' && (i == 0 || i == len(s)-1)
		_, size := utf8.DecodeRuneInString(s[i:])
		if c < 0x20 || c == 0x7f || c == '%' || edge || c == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "%%%02X", s[i])
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// Unescape is the reverse of [Escape].
func Unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Forward is the envelope of a message as the next hop sends it on: the server's
// instructions, the last hop's cursor and whom that was to send it to stay behind, the ID
// is new.
func Forward(h Header, id string) Header {
	next := make(Header, len(h)+1)
	for name, v := range h {
		if name != HeaderCursor && name != HeaderState && name != HeaderTo && !strings.HasPrefix(name, "Nats-") {
			next[name] = v
		}
	}
	next[HeaderID] = []string{id}
	return next
}

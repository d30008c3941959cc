package repo

import "encoding/binary"

// token is a literal byte, or a match: what stands further ahead in the content, again.
type token uint32

const (
	shortestMatch = 4 // whose hash is looked for
	longestMatch  = 258
	window        = 32 << 10 // how far back a match may be

	isMatch token = 1 << 31
)

func matchToken(length, distance int) token {
	return isMatch | token(length)<<16 | token(distance-1)
}

func (t token) literal() byte { return byte(t) }
func (t token) length() int   { return int(t&^isMatch) >> 16 }
func (t token) distance() int { return int(t&0xffff) + 1 }

// matcher finds what repeats itself in a content (RFC 1951, 4): where the same four bytes
// were looked for last, and nowhere else. One goroutine at a time may use it.
type matcher struct {
	seen [1 << seenBits]uint16 // by hash of four bytes: 1 + where they were looked for last
}

const seenBits = 10

// append appends the tokens of a content of at most window bytes.
func (m *matcher) append(tokens []token, content []byte) []token {
	clear(m.seen[:])
	for i := 0; i < len(content); {
		at, n := m.match(content, i)
		if n == 0 {
			tokens = append(tokens, token(content[i]))
			i++
			continue
		}
		tokens = append(tokens, matchToken(n, i-at))
		i += n
	}
	return tokens
}

// match is where before i the longest part stands that begins at i, and how long it is: 0 if there is none.
func (m *matcher) match(content []byte, i int) (at, n int) {
	if i+shortestMatch > len(content) {
		return 0, 0
	}
	next := binary.LittleEndian.Uint32(content[i:])
	slot := &m.seen[next*2654435761>>(32-seenBits)] // Knuth's multiplicative hash
	at = int(*slot) - 1
	*slot = uint16(i + 1)
	if at < 0 || binary.LittleEndian.Uint32(content[at:]) != next {
		return 0, 0
	}
	n = shortestMatch
	for n < longestMatch && i+n < len(content) && content[at+n] == content[i+n] {
		n++
	}
	return at, n
}

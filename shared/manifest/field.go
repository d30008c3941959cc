package manifest

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// The reasons Encode refuses an object for.
var (
	ErrNotFinite   = errors.New("NaN and infinities are no JSON numbers")
	ErrNotUTF8     = errors.New("string is not valid UTF-8")
	ErrUnsupported = errors.New("unsupported Go type")
	ErrTooDeep     = errors.New("nested too deeply")
	ErrTooLarge    = errors.New("manifest is too large")
)

// fieldError says where in an object a reason applies. Its path is built while
// the error travels up, so that an object without errors pays nothing for it.
type fieldError struct {
	path   []string // innermost first
	reason error
}

// maxPath bounds what an error says of a path: keys can be as long as objects.
const maxPath = 256

func (e *fieldError) Error() string {
	var b strings.Builder
	b.WriteString("encoding ")
	for i, step := range slices.Backward(e.path) {
		if b.Len()+len(step) > maxPath {
			b.WriteString("...")
			break
		}
		if i < len(e.path)-1 && step[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(step)
	}
	if len(e.path) == 0 {
		b.WriteString("object")
	}
	b.WriteString(": ")
	b.WriteString(e.reason.Error())
	return b.String()
}

func (e *fieldError) Unwrap() error { return e.reason }

// under puts a key of a mapping before the path of an error.
func under(key string, err *fieldError) *fieldError {
	if isFieldName(key) {
		err.path = append(err.path, key)
	} else {
		err.path = append(err.path, "["+strconv.QuoteToASCII(key)+"]")
	}
	return err
}

// at puts an index of a sequence before the path of an error.
func at(index int, err *fieldError) *fieldError {
	err.path = append(err.path, "["+strconv.Itoa(index)+"]")
	return err
}

func isFieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != ""
}

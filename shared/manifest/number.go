package manifest

import (
	"bytes"
	"math"
	"strconv"
)

// appendFloat writes the shortest decimal that is read back as the same
// float64, in the one form that YAML 1.1 and 1.2 both take for a float: with a
// point in its digits and a sign in its exponent (1.0e+20). It reports false
// for what JSON cannot hold.
//
// A float64 that encoding/json writes with nothing but digits, and that fits an
// int64, is written with these digits: apimachinery reads 1 as an int64 however
// it came to be there, so a "1.0" here would not outlive its first way through
// kubectl.
func appendFloat(buf []byte, v float64) ([]byte, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return buf, false
	}
	start := len(buf)
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) { // encoding/json's bounds
		format = 'e'
	}
	buf = strconv.AppendFloat(buf, v, format, -1, 64)
	if v == math.Trunc(v) && format == 'f' {
		if i, err := strconv.ParseInt(string(buf[start:]), 10, 64); err == nil {
			return strconv.AppendInt(buf[:start], i, 10), true
		}
		format = 'e'
		buf = strconv.AppendFloat(buf[:start], v, format, -1, 64)
	}
	if e := bytes.IndexByte(buf[start:], 'e'); format == 'e' && bytes.IndexByte(buf[start:], '.') < 0 {
		exponent := string(buf[start+e:])
		buf = append(append(buf[:start+e], ".0"...), exponent...)
	}
	return buf, true
}

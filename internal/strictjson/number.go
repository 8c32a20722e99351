package strictjson

// maxExponent stands for every exponent that is too large, whatever the digits are: no text has as many.
const maxExponent = 1 << 40

// number scans a number and measures it as if it were written out.
func (s *scanner) number() error {
	first := s.at
	negative := s.peek() == '-'
	if negative {
		s.at++
	}
	start := s.at
	switch c := s.peek(); {
	case c == '0':
		s.at++
	case '1' <= c && c <= '9':
		s.digits()
	default:
		return s.unexpected()
	}
	digits := s.raw[start:s.at]
	point := int64(len(digits)) // place of the point among all digits
	total := point
	zeros := leadingZeros(digits)
	if s.peek() == '.' {
		s.at++
		start = s.at
		if s.digits() == 0 {
			return s.unexpected()
		}
		fraction := s.raw[start:s.at]
		total += int64(len(fraction))
		if zeros == point {
			zeros += leadingZeros(fraction)
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		exponent, err := s.exponent()
		if err != nil {
			return err
		}
		point += exponent
		if s.ofInteger() {
			s.replaceNumber(first, "0.5")
			s.size += 3
			return nil
		}
	}

	before, after := max(1, point-zeros), max(0, total-point)
	if zeros == total { // zero, however it is written; it has no sign
		before, negative = max(1, point), false
	}
	if before > MaxDigits || after > MaxDigits {
		s.fault("must not have more than 1000 digits before or after the point")
		if s.mend {
			s.replaceNumber(first, "0")
		}
		return nil
	}
	s.size += before
	if after > 0 {
		s.size += 1 + after
	}
	if negative {
		s.size++
	}
	return nil
}

// digits scans any number of digits and returns how many there were.
func (s *scanner) digits() int {
	start := s.at
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at - start
}

func (s *scanner) exponent() (int64, error) {
	s.at++
	sign := int64(1)
	switch s.peek() {
	case '-':
		sign = -1
		s.at++
	case '+':
		s.at++
	}
	start := s.at
	if s.digits() == 0 {
		return 0, s.unexpected()
	}
	var n int64
	for _, c := range s.raw[start:s.at] {
		n = min(n*10+int64(c-'0'), maxExponent)
	}
	return sign * n, nil
}

func leadingZeros(digits []byte) int64 {
	var n int64
	for _, c := range digits {
		if c != '0' {
			break
		}
		n++
	}
	return n
}

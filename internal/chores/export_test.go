package chores

import "time"

// SetPulseEvery changes how often the replica pulses unasked, before Run.
func (r *Chores) SetPulseEvery(d time.Duration) { r.pulseEvery = d }

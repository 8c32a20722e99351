package chores

import "time"

// SetPulseEvery changes how often the replica pulses unasked, before Run.
func (r *Chores) SetPulseEvery(d time.Duration) { r.pulseEvery = d }

// SetRetention has what ended long ago removed, before Run.
func (r *Chores) SetRetention(c Retention) { r.config.Retention = &c }

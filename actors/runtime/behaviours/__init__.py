"""OTP's behaviours beyond a plain actor: state machines, event buses, and the stash that puts messages aside."""

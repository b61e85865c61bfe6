//! What a first message asks for, in mode report, whatever comes beside it.

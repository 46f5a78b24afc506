"""Load from outside: buyers, the rush and the bench. Black box over HTTP; imports nothing of the rest."""

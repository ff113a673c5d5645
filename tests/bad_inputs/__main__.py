"""python -m tests.bad_inputs"""

from tests.bad_inputs.trying import main

main()

onstart:
    say_space()

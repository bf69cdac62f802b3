"""`python -m yolo3 COMMAND`."""

from yolo3.commands.main import main

if __name__ == "__main__":
    main(prog_name="python -m yolo3")

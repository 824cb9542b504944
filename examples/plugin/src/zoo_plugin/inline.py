"""An engine: trials one after the other in the search's own process; for a debugger."""

from keras_rnn_zoo.tuner import Engine, register_engine


@register_engine
class Inline(Engine):
    """Runs each trial when the search waits for it."""

    name = "inline"
    description = "One after the other in the search's own process, for a debugger."

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._jobs = []

    def submit(self, job):
        """Notes a job."""
        self._jobs.append(job)

    def wait(self, seconds):
        """Runs the next job."""
        from keras_rnn_zoo.tuner.trials.job import Ended
        from keras_rnn_zoo.tuner.trials.trial import run_job

        if not self._jobs:
            return []
        job = self._jobs.pop(0)
        parent = self.place(job.parent) if job.parent is not None else None
        arrays, place = self.data[job.data], self.place(job.trial_id)
        return [Ended(job.trial_id, run_job(job, arrays, place, parent, lambda line: None))]

    def close(self):
        """Forgets what was not run."""
        self._jobs.clear()

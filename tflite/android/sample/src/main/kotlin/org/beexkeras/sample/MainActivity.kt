package org.beexkeras.sample

import android.app.Activity
import android.os.Bundle
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.Switch
import android.widget.TextView
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import org.beexkeras.BeexClassifier
import org.beexkeras.LceClassifier
import org.beexkeras.Prediction
import org.beexkeras.TextClassifier

/** A text, its label, the exit taken and the time it took, in the engine or in Larq Compute Engine. */
class MainActivity : Activity() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main)
    private val opened = mutableMapOf<Boolean, TextClassifier>()
    private var isClosed = false
    private lateinit var text: EditText
    private lateinit var lce: Switch
    private lateinit var answer: TextView

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        text = EditText(this).apply { setHint("A sentence about a film") }
        lce = Switch(this).apply { setText("Larq Compute Engine") }
        answer = TextView(this).apply { setTextSize(20f) }
        val button = Button(this).apply {
            setText("Classify")
            setOnClickListener { classify() }
        }
        val layout = LinearLayout(this).apply {
            setOrientation(LinearLayout.VERTICAL)
            setPadding(48, 48, 48, 48)
            setFitsSystemWindows(true)
            listOf(text, button, lce, answer).forEach(::addView)
        }
        setContentView(layout)
    }

    override fun onDestroy() {
        scope.cancel()
        synchronized(opened) {
            isClosed = true // a text that is still waited for opens none anew
            opened.values.forEach(TextClassifier::close)
        }
        super.onDestroy()
    }

    private fun classify() {
        val sentence = text.getText().toString()
        val byLce = lce.isChecked
        scope.launch {
            val shown = withContext(Dispatchers.Default) { runCatching { measured(byLce, sentence) } }
            answer.setText(shown.getOrElse { it.message ?: it.toString() })
        }
    }

    private fun measured(byLce: Boolean, sentence: String): String {
        val classifier = synchronized(opened) {
            check(!isClosed) { "The activity has ended." }
            opened.getOrPut(byLce) { open(byLce) }
        }
        val start = System.nanoTime()
        val prediction = classifier.classify(sentence)
        val microseconds = (System.nanoTime() - start) / 1000
        return describe(prediction) + "\n$microseconds µs"
    }

    private fun open(byLce: Boolean): TextClassifier =
        if (byLce) LceClassifier.fromAsset(this, "model.tflite") else BeexClassifier.fromAsset(this, "model.beex")

    private fun describe(prediction: Prediction): String {
        val said = if (prediction.isNumber) "${prediction.value}" else "${prediction.label} ${prediction.score}"
        return "$said\nexit ${prediction.exit}"
    }
}
